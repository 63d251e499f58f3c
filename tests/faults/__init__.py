"""Failing allocations, files and processes that are killed: what a call leaves behind."""
