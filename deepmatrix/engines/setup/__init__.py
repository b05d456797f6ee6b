"""Setting an engine up: a private Docker daemon on Debian or Ubuntu, with ARM emulation."""
