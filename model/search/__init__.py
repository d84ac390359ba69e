"""Searches that processes share: what is tried, which trial is whose, and none is lost."""
