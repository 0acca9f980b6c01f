"""How the standing runner of a lane is made where it is missing: `lanes.<lane>.machine` of the config, one model for each provider.

A recovery never begins with making a runner (docs/design/anti-drift.md 2.2): these settings are used where the queue found none and the
config allows the reason. Names of places only; no secret, no key, no address of a target.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field
from typing_extensions import override

from hyops_ci.contracts.base import BYTE, HOST, PORT, TOO_LONG, WHOLE, Duration, HostPath, Label, Model, Short, Text, Utc
from hyops_ci.contracts.lanes import ON_PREM_LANES

HOSTED: Final = ("ubuntu-latest",)
"""Labels of a machine of GitHub's."""
HttpsUrl = Annotated[
    str,
    Text(
        rf"^https://{HOST}(:{PORT})?(/[A-Za-z0-9._~-]+)*$",
        at_most=300,
        never=TOO_LONG,
        patternErrorMessage="https://<host>[:<port>]/<path>",
    ),
]
GoogleUrl = Annotated[
    str,
    Text(
        rf"^https://(([a-z0-9-]+\.)+(googleapis\.com|cloudproxy\.app)|(127\.0\.0\.1|localhost)(:{PORT})?)$",
        at_most=200,
        patternErrorMessage="https://<name>.googleapis.com or .cloudproxy.app, or a port of this machine",
    ),
]
Zone = Annotated[str, Text(r"^[a-z]+-[a-z]+[0-9]{1,2}-[a-z]$", patternErrorMessage="a zone such as europe-west1-b")]
Resource = Annotated[str, Text(r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", patternErrorMessage="a name of lower-case letters, digits and dashes")]
MachineType = Annotated[str, Text(r"^[a-z][a-z0-9]*-[a-z0-9-]{1,60}$", patternErrorMessage="a machine type such as e2-standard-2")]
Image = Annotated[
    str,
    Text(
        r"^projects/[a-z0-9.:-]{1,90}/global/images/(family/)?[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
        patternErrorMessage="projects/<project>/global/images/<name>, or .../images/family/<name>",
    ),
]
ServiceAccount = Annotated[
    str,
    Text(
        r"^[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z][a-z0-9-]{4,28}[a-z0-9]\.iam\.gserviceaccount\.com$",
        patternErrorMessage="<account>@<project>.iam.gserviceaccount.com",
    ),
]
IdentityProvider = Annotated[
    str,
    Text(
        r"^projects/[0-9]{1,20}/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}$",
        patternErrorMessage="projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>",
    ),
]
HostKey = Annotated[
    str,
    Text(
        r"^(ssh-ed25519|ecdsa-sha2-nistp256) [A-Za-z0-9+/]{50,200}={0,2}$",
        patternErrorMessage="ssh-ed25519 or ecdsa-sha2-nistp256, a space and the base64 of the key",
    ),
]
Fingerprint = Annotated[
    str, Text(r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$", patternErrorMessage="32 pairs of hex digits in capitals, with colons between")
]
Endpoint = Annotated[str, Text(rf"^{HOST}(:{PORT})?$", at_most=270, never=TOO_LONG, patternErrorMessage="<host>[:<port>]")]
UnixUser = Annotated[str, Text(r"^[a-z_][a-z0-9_-]{0,31}$", patternErrorMessage="a user of the host")]
ProxmoxName = Annotated[str, Text(r"^[A-Za-z][A-Za-z0-9_.-]{0,39}$", patternErrorMessage="a name of letters, digits, _ . and -")]
Bridge = Annotated[str, Text(r"^[a-z][a-z0-9._-]{0,14}$", patternErrorMessage="a bridge such as vmbr0")]
Gateway = Annotated[str, Text(rf"^({BYTE}\.){{3}}{BYTE}$", patternErrorMessage="an IPv4 address")]
Address = Annotated[
    str, Text(rf"^({BYTE}\.){{3}}{BYTE}/([1-9]|[12][0-9]|3[0-2])$", patternErrorMessage="an IPv4 address and the length of its prefix")
]
SecretPlace = Annotated[str, Text(r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*#[A-Za-z_][A-Za-z0-9_]{0,127}$", patternErrorMessage="<path>#<field>")]


class Bastion(Model):
    """A way through another host, for a while and with its reason (docs/design/anti-drift.md 2.4)."""

    host: Endpoint
    """The bastion's address."""
    user: UnixUser
    """Who logs in there."""
    host_key: HostKey
    """Its public host key, as `ssh-keyscan` prints it behind the name."""
    reason: Short
    """Why; every run under it says so."""
    until: Utc
    """When it ends."""


class Installation(Model):
    """What is put on the machine, whoever made it. Versions and hashes are the release's own, never the config's."""

    mirror: HttpsUrl | None = None
    """A folder with the files of the release's table, for machines that cannot reach GitHub; absent: where they are published."""
    archives: HostPath | None = None
    """A folder of the machine that already holds those files; nothing is fetched then."""
    wheelhouse: HostPath | None = None
    """A folder of the machine with the wheels of the release; absent: a package index, by hashes."""
    hyops: bool = True
    """Whether HyOps is installed, too; false where the machine's image brings it."""
    boot_timeout: Duration = "PT10M"
    """How long a machine may take from its start to the login."""
    online_timeout: Duration = "PT5M"
    """How long its agent may take until GitHub shows it online."""


class LaneMachine(Model):
    """What everybody but its provider asks of a machine: with it, a further provider is one more model here and one more package."""

    stands: ClassVar[tuple[str, ...]]
    """Lanes that a machine of this provider may be of."""

    @property
    def made_on(self) -> tuple[str, ...]:
        """Labels of the job that makes it: a machine of GitHub's, where the provider is reached from everywhere."""
        return HOSTED

    @property
    def secrets(self) -> tuple[str, ...]:
        """Places of what the authority keeps for its provider, `<path>#<field>`."""
        return ()

    @property
    def host(self) -> str:
        """Its address, where the config gives it one."""
        return ""


class GcpEndpoints(Model):
    """Where Google's interfaces are asked: other names for them, such as those of Private Service Connect."""

    compute: GoogleUrl = "https://compute.googleapis.com"
    """Compute Engine."""
    sts: GoogleUrl = "https://sts.googleapis.com"
    """The exchange of the job's token."""
    iam_credentials: GoogleUrl = "https://iamcredentials.googleapis.com"
    """Short-lived tokens of an account."""
    os_login: GoogleUrl = "https://oslogin.googleapis.com"
    """OS Login."""
    tunnel: GoogleUrl = "https://tunnel.cloudproxy.app"
    """The tunnel of Identity-Aware Proxy."""


class GcpNat(Model):
    """Cloud NAT of the network, in the host project, through which the machine reaches GitHub. Checked, and made only when told."""

    router: Resource
    """The Cloud Router."""
    name: Resource
    """The NAT of that router."""
    make: bool = False
    """Whether router and NAT are made where they are missing."""


class GcpMachine(LaneMachine):
    """A Compute Engine machine without an external address."""

    stands = ("gcp",)
    provider: Literal["gcp"]
    """Google Cloud."""
    project: Literal["host", "control", "workload"] = "host"
    """In which of the projects named under `gcp` the machine is. Its network, router and NAT are in the host project."""
    zones: Annotated[tuple[Zone, ...], Field(min_length=1, max_length=6)]
    """Zones of one region, in the order in which they are tried."""
    machine_type: MachineType = "e2-standard-2"
    """The machine type."""
    image: Image
    """The boot image, `projects/<project>/global/images/<name>` or `.../images/family/<name>`."""
    disk_gb: Annotated[int, Field(ge=10, le=2000), WHOLE] = 50
    """The boot disk."""
    network: Resource
    """The VPC network, in the host project."""
    subnetwork: Resource
    """Its subnetwork in the region of the zones."""
    tags: Annotated[tuple[Resource, ...], Field(max_length=20)] = ()
    """Network tags, such as the one that lets IAP's range reach port 22."""
    service_account: ServiceAccount
    """The account that the machine runs as; it needs no role for a recovery."""
    login: Literal["os-login", "metadata"] = "metadata"
    """How the bootstrap logs in: by OS Login, or by a key in this machine's own metadata."""
    identity_provider: IdentityProvider
    """The workload identity provider that believes the tokens of GitHub's jobs."""
    bootstrap_account: ServiceAccount
    """The account that the job becomes through it: it may make, start and reach this machine and nothing else."""
    nat: GcpNat
    """How the machine reaches GitHub."""
    bastion: Bastion | None = None
    """Instead of the tunnel of Identity-Aware Proxy, for a while."""
    endpoints: GcpEndpoints = GcpEndpoints.model_construct()
    """Other names of Google's interfaces, where the network of the job needs them."""
    installation: Installation = Installation.model_construct()
    """What is put on it."""


class ProxmoxMachine(LaneMachine):
    """A virtual machine on Proxmox VE, cloned from a template."""

    stands = ON_PREM_LANES
    provider: Literal["proxmox"]
    """Proxmox VE."""
    api: HttpsUrl
    """The API, `https://<host>:8006`."""
    fingerprint: Fingerprint | None = None
    """SHA-256 of the API's certificate, as Proxmox shows it; absent: the certificate must be one that the machine of the job trusts."""
    token: SecretPlace
    """Where the authority keeps the API token, `<path>#<field>` below `vault.mount`; its value is `<user>@<realm>!<id>=<uuid>`."""
    node: Resource
    """The node that the machine is made on."""
    template: Annotated[int, Field(ge=100, le=999_999_999), WHOLE]
    """The id of the template: Debian with cloud-init and the guest agent."""
    vmid: Annotated[int, Field(ge=100, le=999_999_999), WHOLE]
    """The id of the machine."""
    pool: ProxmoxName | None = None
    """The pool that it belongs to."""
    storage: ProxmoxName | None = None
    """Where its disk goes; absent: where the template's is."""
    cores: Annotated[int, Field(ge=1, le=64), WHOLE] = 2
    """Its processors."""
    memory_mb: Annotated[int, Field(ge=1024, le=1_048_576), WHOLE] = 4096
    """Its memory."""
    bridge: Bridge = "vmbr0"
    """The bridge of the management network."""
    vlan: Annotated[int, Field(ge=1, le=4094), WHOLE] | None = None
    """Its VLAN tag."""
    address: Address
    """Its address in the management network, with the length of the prefix."""
    gateway: Gateway
    """The gateway through which it reaches GitHub; it is checked, never made."""
    management_runner: Annotated[tuple[Label, ...], Field(min_length=1, max_length=10)]
    """Labels of the runner that the bootstrap runs on: one inside the management network, never one of GitHub's machines."""
    bastion: Bastion | None = None
    """Instead of the direct way on the management network, for a while."""
    installation: Installation = Installation.model_construct()
    """What is put on it."""

    @property
    @override
    def made_on(self) -> tuple[str, ...]:
        return self.management_runner

    @property
    @override
    def secrets(self) -> tuple[str, ...]:
        return (self.token,)

    @property
    @override
    def host(self) -> str:
        return self.address.partition("/")[0]


class Registration(Model):
    """How a machine that was made is registered with GitHub: by a GitHub App of the adopter's own, whose key the authority keeps."""

    app_id: Annotated[int, Field(ge=1, le=10**12), WHOLE]
    """The App's id, as its page shows it. It has `administration: write` on the repository, or with `group` the organization's
    `self-hosted runners: write`."""
    key: SecretPlace
    """Where the authority keeps the App's private key (PEM), `<path>#<field>` below `vault.mount`. Never a secret of GitHub."""
    group: Short | None = None
    """The organization's runner group; absent: the runner is the repository's own."""


Machine = Annotated[GcpMachine | ProxmoxMachine, Field(discriminator="provider")]
BootstrapReason = Literal["initial-bootstrap", "runner-recovery", "lab-fallback"]
