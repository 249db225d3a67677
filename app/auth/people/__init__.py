"""People: registering, signing in, and who belongs to a tenant with which role."""
