"""Launching: a fleet that a file lists is started for one command, and ended with it.

In comes ``fleet.yaml``: machines that ssh reaches, and jobs of Slurm. Out comes the address of a
scheduler, which runs in this process, once all their workers are connected to it.
"""
