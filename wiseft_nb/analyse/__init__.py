"""What predictions and weights of two endpoints tell: small functions that return tables, one subject a module.

Nothing is imported here, so that a table needs no torch.

Explained in notebooks 06_see_why_it_works and 07_compare_ensembles.
"""
