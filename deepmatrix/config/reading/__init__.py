"""Reading YAML documents, within bounds, from a cache where they are unchanged."""
