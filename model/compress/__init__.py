"""Compression: pruning, weight sharing and Huffman coding."""
