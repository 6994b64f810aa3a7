"""RTP, codecs and containers."""
