"""The namespaces of SOAP and ONVIF, and the prefixes that replies give them."""

from __future__ import annotations

from collections.abc import Mapping

ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
ENVELOPE_11 = "http://schemas.xmlsoap.org/soap/envelope/"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
SECURITY_EXTENSIONS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
SECURITY_UTILITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
SCHEMA = "http://www.onvif.org/ver10/schema"
ERROR = "http://www.onvif.org/ver10/error"
XML_SCHEMA = "http://www.w3.org/2001/XMLSchema"
XML = "http://www.w3.org/XML/1998/namespace"

PREFIXES: Mapping[str, str] = {
    "env": ENVELOPE,
    "wsa": ADDRESSING,
    "tt": SCHEMA,
    "ter": ERROR,
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xs": XML_SCHEMA,
    "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "wstop": "http://docs.oasis-open.org/wsn/t-1",
    "wsrf-r": "http://docs.oasis-open.org/wsrf/r-2",
    "wsrf-rw": "http://docs.oasis-open.org/wsrf/rw-2",
    "wsrf-bf": "http://docs.oasis-open.org/wsrf/bf-2",
    "wsntw": "http://docs.oasis-open.org/wsn/bw-2",
    "tns1": "http://www.onvif.org/ver10/topics",
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "timg": "http://www.onvif.org/ver20/imaging/wsdl",
    "tan": "http://www.onvif.org/ver20/analytics/wsdl",
    "trc": "http://www.onvif.org/ver10/recording/wsdl",
    "tse": "http://www.onvif.org/ver10/search/wsdl",
    "trp": "http://www.onvif.org/ver10/replay/wsdl",
    "tac": "http://www.onvif.org/ver10/accesscontrol/wsdl",
    "tdc": "http://www.onvif.org/ver10/doorcontrol/wsdl",
    "tmd": "http://www.onvif.org/ver10/deviceIO/wsdl",
    "tth": "http://www.onvif.org/ver10/thermal/wsdl",
    "tcr": "http://www.onvif.org/ver10/credential/wsdl",
    "tar": "http://www.onvif.org/ver10/accessrules/wsdl",
    "tsc": "http://www.onvif.org/ver10/schedule/wsdl",
    "trv": "http://www.onvif.org/ver10/receiver/wsdl",
    "tpv": "http://www.onvif.org/ver10/provisioning/wsdl",
}


def expanded(name: str) -> str:
    """A name with one of the prefixes, as lxml writes it: `tds:GetServices` is `{http://...}GetServices`."""
    prefix, _, local = name.partition(":")
    return f"{{{PREFIXES[prefix]}}}{local}"
