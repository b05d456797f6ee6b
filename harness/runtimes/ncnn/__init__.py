"""ncnn: `adapter` loads ``ncnn`` nets, written by pnnx, and answers row by row."""
