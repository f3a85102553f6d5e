"""The gym: procedurally drawn visual-reasoning problems, in families that mirror ViRL39K's categories.

A problem is a function of its id alone. Ids name family, level, split and index (`gym/counting-1/train/42`); the split
of a scene is decided by the hash of what it shows and asks, so no scene stands in two splits whatever the indices.
"""
