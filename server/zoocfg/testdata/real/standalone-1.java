refused
Invalid option 1 for standaloneEnabled. Choose 'true' or 'false.'
