"""What a caller may use up: budgets of tenants and keys, counted in Redis for all workers."""
