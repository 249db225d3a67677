"""Language models: providers, and a router over them that is itself one."""
