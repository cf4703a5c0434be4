"""Detection as in R-CNN: proposals that know no classes, and a classifier for what they frame."""
