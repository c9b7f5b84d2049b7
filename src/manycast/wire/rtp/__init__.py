"""RTP and RTCP (RFC 3550), and the payload formats, a module each."""
