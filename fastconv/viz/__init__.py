"""Figures of what a network computes: its activations, its filters, where its time goes.

Drawing needs Matplotlib: `pip install 'fastconv[viz]'`. Wrong arguments raise InputError.
"""
