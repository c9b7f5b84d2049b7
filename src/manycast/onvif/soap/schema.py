"""The types of a WSDL as a validator: what zeep does not look at, such as enumerations, lengths and ranges."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from manycast.errors import ManycastError
from manycast.onvif.soap.names import XML_SCHEMA

_XS = f"{{{XML_SCHEMA}}}"
_OPEN = (None, "##any", "##targetNamespace")  # the namespaces of wildcards that may take declared elements, too


class SchemaMissing(ManycastError):
    """A schema asks for a file that is not there. Nothing is ever fetched from the network."""


def read_schema(folder: Path, wsdl: str) -> etree.XMLSchema:
    """The schemas of a WSDL and all that they import, ready to validate the elements of its messages.

    Raises SchemaMissing, and lxml's errors for files that are damaged.
    """
    resolver = _Resolver(folder)
    parser = etree.XMLParser(no_network=True, load_dtd=False)
    parser.resolvers.add(resolver)
    driver = etree.Element(f"{_XS}schema", nsmap={"xs": XML_SCHEMA})
    for number, schema in enumerate(etree.parse(folder / wsdl).getroot().iter(f"{_XS}schema")):
        place = f"{folder / wsdl}.{number}.xsd"  # beside the WSDL, so that relative paths in it hold
        resolver.inline[place] = etree.tostring(schema)
        etree.SubElement(driver, f"{_XS}import", namespace=schema.get("targetNamespace", ""), schemaLocation=place)
    document = etree.fromstring(etree.tostring(driver), parser, base_url=str(folder / "driver.xsd"))
    return etree.XMLSchema(document)


class _Resolver(etree.Resolver):
    """Gives libxml2 the schemas, from the folder only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.inline: dict[str, bytes] = {}  # by place

    def resolve(self, system_url: str, public_id: str, context: object) -> object:  # type: ignore[override]
        if system_url in self.inline:
            root = etree.fromstring(self.inline[system_url])
        else:
            root = etree.parse(local_file(self._folder, system_url)).getroot()
        make_deterministic(root)
        self._merge_imports(root, system_url)
        return self.resolve_string(etree.tostring(root), context, base_url=system_url)

    def _merge_imports(self, root: etree._Element, place: str) -> None:
        """Import a namespace that is in several files as one: libxml2 reads the first file of a namespace only."""
        by_namespace: dict[str, list[etree._Element]] = {}
        for wanted in root.iterfind(f"{_XS}import"):
            by_namespace.setdefault(wanted.get("namespace", ""), []).append(wanted)
        for namespace, imports in by_namespace.items():
            if len(imports) < 2:
                continue
            both = etree.Element(f"{_XS}schema", targetNamespace=namespace, nsmap={"xs": XML_SCHEMA})
            for wanted in imports:
                etree.SubElement(both, f"{_XS}include", schemaLocation=wanted.get("schemaLocation", ""))
                root.remove(wanted)
            merged = f"{place}.{len(self.inline)}.xsd"
            self.inline[merged] = etree.tostring(both)
            root.insert(0, etree.Element(f"{_XS}import", namespace=namespace, schemaLocation=merged))


def local_file(folder: Path, url: str) -> Path:
    """The copy of a schema or WSDL. Raises SchemaMissing."""
    file = Path(url)
    if url.startswith(("http://", "https://")):
        # The only absolute address in the files is that of xml:lang and its like.
        file = folder / "schema/common/xml.xsd" if url.endswith("/xml.xsd") else folder / url
    if not file.is_file():
        raise SchemaMissing(f"{url}, which a schema of ONVIF asks for, is not in {folder}")
    return file


def make_deterministic(schema: etree._Element) -> None:
    """Let wildcards beside optional elements take only elements of namespaces that these are not of.

    ONVIF's schemas let a wildcard overlap with declared elements, as XML Schema 1.1 allows; libxml2 knows 1.0, where
    that is an error ("Unique Particle Attribution").
    """
    extended = {extension.get("base", "").rpartition(":")[2] for extension in schema.iter(f"{_XS}extension")}
    for wildcard in schema.iter(f"{_XS}any"):
        if wildcard.get("namespace") not in _OPEN:
            continue
        before = [sibling for sibling in wildcard.itersiblings(preceding=True) if _is_particle(sibling)]
        after = any(_is_particle(sibling) for sibling in wildcard.itersiblings())
        owner = next(wildcard.iterancestors(f"{_XS}complexType"))
        in_choice = bool(before) and next(wildcard.iterancestors()).tag == f"{_XS}choice"
        open_before = in_choice or any(_may_repeat_or_lack(sibling) for sibling in before)
        if after or open_before or owner.get("name") in extended:
            wildcard.set("namespace", _apart_from(before))


def _apart_from(siblings: list[etree._Element]) -> str:
    """What a wildcard may stand for that none of these is."""
    borrowed = [":" in sibling.get("ref", "") for sibling in siblings]  # from other namespaces
    if not any(borrowed):
        return "##other"
    return "##targetNamespace" if all(borrowed) else "##local"


def move_wildcards_back(schema: etree._Element) -> None:
    """Put wildcards behind what may follow them, else zeep takes everything for what they stand for."""
    for wildcard in list(schema.iter(f"{_XS}any")):
        sequence = wildcard.getparent()
        if sequence is not None and any(_is_particle(sibling) for sibling in wildcard.itersiblings()):
            sequence.append(wildcard)


def _is_particle(node: etree._Element) -> bool:
    return isinstance(node.tag, str) and node.tag != f"{_XS}annotation"


def _may_repeat_or_lack(particle: etree._Element) -> bool:
    return particle.get("minOccurs", "1") == "0" or particle.get("maxOccurs", "1") != "1"
