"""SOAP 1.2 as ONVIF uses it: from bytes to an operation, and back, by the WSDL files themselves."""
