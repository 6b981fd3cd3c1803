refused
Multiple address feature is disabled, but multiple addresses were specified for sid 1
