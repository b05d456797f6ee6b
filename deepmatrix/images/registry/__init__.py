"""Images in a registry: built by one machine and pushed, pulled by others.

In come recipes, and the file with the digests of what was pushed; out go the images that were
pulled, and why others were not. Only what that file lists is pulled, by its digest: whoever may
write to the registry cannot put another image in its place.
"""
