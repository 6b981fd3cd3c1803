refused
Authentication scheme sasl is not available.
