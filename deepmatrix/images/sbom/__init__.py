"""Software bills of materials: which packages an image holds, as CycloneDX.

In come the files of an image in which package managers say what they installed; out goes one
document an image. Nothing of the image is run, so that its architecture does not matter.
"""
