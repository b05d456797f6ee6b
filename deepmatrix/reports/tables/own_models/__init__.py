"""Tables of users' own models: verdicts, inputs, and the cost of quantisation."""
