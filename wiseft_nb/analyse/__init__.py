"""Why averaging weights works, and what else could be averaged: functions that return tables.

Explained in notebook 07_compare_ensembles.
"""
