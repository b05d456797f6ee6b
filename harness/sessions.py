"""What the jobs of all kinds have in common while they are under way."""


class JobSession:
    """One job under way: its directory, its adapter, and what the start cost, for `startup`."""

    def __init__(self, directory, job, adapter, started):
        self.directory = directory
        self.job = job
        self.adapter = adapter
        self.started = started
        self.produced = []  # what `deploy` exported
