"""The commands of a fleet, and the options by which others use one."""
