"""Importers and exporters, one file format a module."""
