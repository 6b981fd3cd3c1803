refused
Invalid option yes for reconfigEnabled. Choose 'true' or 'false.'
