"""Tables of people's own models: verdicts, inputs, and the cost of quantisation."""
