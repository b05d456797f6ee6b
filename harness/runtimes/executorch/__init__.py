"""ExecuTorch, without torch: `adapter` loads ``executorch`` programs and answers."""
