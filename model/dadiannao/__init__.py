"""DaDianNao, tiles beside their synapses: configuration, compiler, golden and cycle model."""
