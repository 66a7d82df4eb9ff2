"""Key-holding code: encryption, decryption, pads, sealing, provisioning. Nodes only."""
