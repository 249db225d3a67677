"""A question's whole journey, from the request to a cited answer."""
