"""Networks: a backbone of torchreid's zoo or of timm, and the head that a preset asks for."""
