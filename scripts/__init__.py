"""The console command ``eieio``, one subcommand a module."""
