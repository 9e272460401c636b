"""Services to start: how each is configured, where it listens, when it is ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the image, in one configuration.

    ``script`` is run by ``sh`` and ends with ``exec``: the service stays in the
    foreground, and ends with the container. ``ready`` succeeds once it serves; ""
    waits until it listens. ``protocol`` is what netduet calls its protocol.
    """

    name: str
    protocol: str
    port: int
    script: str
    transport: str = "tcp"
    ready: str = ""

    @property
    def ready_command(self) -> list[str]:
        """What succeeds in the container once the service serves."""
        return ["sh", "-c", self.ready or f"is-listening {self.port} {self.transport}"]


def _nginx(server: str) -> str:
    return f"""cat >nginx.conf <<'END'
daemon off;
events {{}}
http {{ access_log off; server {{ {server} }} }}
END
exec nginx -e stderr -c /srv/nginx.conf"""


_PAGE: Final = 'location / { return 200 "hello\\n"; }'
_TLS: Final = "ssl_certificate /srv/cert.pem; ssl_certificate_key /srv/key.pem;"

NGINX = Service("nginx", "http", 80, _nginx(f"listen 80; {_PAGE}"))
NGINX_BAD_GATEWAY = Service(
    "nginx-bad-gateway",
    "http",
    80,
    _nginx("listen 80; location / { proxy_pass http://127.0.0.1:9; }"),
)
NGINX_TLS = Service(
    "nginx-tls", "https", 443, _nginx(f"listen 443 ssl; {_TLS} {_PAGE}")
)
NGINX_LOCAL = Service(
    "nginx-local", "http", 80, _nginx(f"listen 127.0.0.1:80; {_PAGE}")
)
NGINX_EXPIRED = Service(
    "nginx-expired",
    "https",
    443,
    _nginx(f"listen 443 ssl; {_TLS.replace('cert.pem', 'expired.pem')} {_PAGE}"),
)
NGINX_TLS_HTTP2 = Service(
    "nginx-tls-http2",
    "https",
    443,
    _nginx(f"listen 443 ssl; http2 on; {_TLS} {_PAGE}"),
)
NGINX_HTTP2 = Service(
    "nginx-http2", "http2", 80, _nginx(f"listen 80; http2 on; {_PAGE}")
)
HAPROXY_NO_BACKEND = Service(
    "haproxy-no-backend",
    "http",
    80,
    """cat >haproxy.cfg <<'END'
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend web
  bind :80
END
exec haproxy -db -f haproxy.cfg""",
)
ETCD = Service(
    "etcd",
    "grpc",
    2379,
    "exec etcd --data-dir /srv/etcd --listen-client-urls http://0.0.0.0:2379 "
    "--advertise-client-urls http://127.0.0.1:2379",
    ready="ETCDCTL_API=3 etcdctl endpoint health 2>/dev/null || is-listening 2379 tcp",
)

REDIS = Service("redis", "redis", 6379, "exec redis-server --protected-mode no")
REDIS_LOCAL = Service(
    "redis-local", "redis", 6379, "exec redis-server --bind 127.0.0.1"
)
REDIS_PASSWORD = Service(
    "redis-password", "redis", 6379, "exec redis-server --requirepass secret"
)
REDIS_PROTECTED = Service(
    "redis-protected",
    "redis",
    6379,
    "exec redis-server --bind '*' --protected-mode yes",
)
REDIS_FULL = Service(
    "redis-full", "redis", 6379, "exec redis-server --protected-mode no --maxclients 1"
)
REDIS_NO_MASTER = Service(
    "redis-no-master",
    "redis",
    6379,
    "exec redis-server --protected-mode no --replicaof 127.0.0.1 9 "
    "--replica-serve-stale-data no",
)
MEMCACHED = Service("memcached", "memcached", 11211, "exec memcached -u nobody")

_POSTGRES: Final = """chown postgres . && exec setpriv --reuid postgres --regid postgres \
--init-groups sh -c '
PATH=$PATH:/usr/local/postgresql
initdb -D data -A scram-sha-256 --pwfile=/etc/hostname >/dev/null
echo "host all all all scram-sha-256" >>data/pg_hba.conf
cp cert.pem data/server.crt && cp key.pem data/server.key && chmod 600 data/server.key
exec postgres -D data -k /srv -c listen_addresses=* %s'"""
_POSTGRES_READY: Final = "/usr/local/postgresql/pg_isready -q -h /srv"
POSTGRES = Service("postgres", "postgres", 5432, _POSTGRES % "", ready=_POSTGRES_READY)
POSTGRES_LOCAL = Service(
    "postgres-local",
    "postgres",
    5432,
    _POSTGRES.replace("listen_addresses=*", "listen_addresses=127.0.0.1") % "",
    ready=_POSTGRES_READY,
)
POSTGRES_TLS = Service(
    "postgres-tls", "postgres", 5432, _POSTGRES % "-c ssl=on", ready=_POSTGRES_READY
)
POSTGRES_FULL = Service(
    "postgres-full",
    "postgres",
    5432,
    _POSTGRES % "-c max_connections=1 -c superuser_reserved_connections=0 "
    "-c reserved_connections=0 -c max_wal_senders=0",
    ready=_POSTGRES_READY,
)

_MARIADB: Final = """mariadb-install-db --user=mysql --datadir=/srv/data >/dev/null
chown mysql .
echo "%s" >start.sql
exec mariadbd --no-defaults --user=mysql --datadir=/srv/data --bind-address='*' \
--socket=/srv/socket --pid-file=/srv/pid --init-file=/srv/start.sql"""
MARIADB = Service(
    "mariadb", "mysql", 3306, _MARIADB % "CREATE USER somebody IDENTIFIED BY 'secret';"
)
MARIADB_STRICT = Service(
    "mariadb-strict",
    "mysql",
    3306,
    f"{_MARIADB} --max-connect-errors=2"
    % "CREATE USER somebody IDENTIFIED BY 'secret';",
)
MARIADB_LOCAL = Service(
    "mariadb-local",
    "mysql",
    3306,
    _MARIADB.replace("--bind-address='*'", "--bind-address=127.0.0.1") % "SELECT 1;",
)
MARIADB_LOCAL_ONLY = Service(
    "mariadb-local-only", "mysql", 3306, _MARIADB % "SELECT 1;"
)

OPENSSH = Service(
    "openssh",
    "ssh",
    22,
    "ssh-keygen -q -t ed25519 -N '' -f key && exec /usr/sbin/sshd -D -e -h /srv/key",
)
OPENSSH_LOCAL = Service(
    "openssh-local",
    "ssh",
    22,
    "ssh-keygen -q -t ed25519 -N '' -f key && "
    "exec /usr/sbin/sshd -D -e -h /srv/key -o ListenAddress=127.0.0.1",
)
OPENSSH_FULL = Service(
    "openssh-full",
    "ssh",
    22,
    "ssh-keygen -q -t ed25519 -N '' -f key && "
    "exec /usr/sbin/sshd -D -e -h /srv/key -o MaxStartups=1:100:1",
)
POSTFIX = Service(
    "postfix",
    "smtp",
    25,
    "cp /usr/share/postfix/main.cf.debian /etc/postfix/main.cf\n"
    "postconf myhostname=mail.example inet_protocols=ipv4 maillog_file=/dev/stdout "
    "alias_maps= alias_database= smtputf8_enable=no 'mynetworks=127.0.0.0/8'\n"
    "exec postfix start-fg",
)
VSFTPD = Service(
    "vsftpd",
    "ftp",
    21,
    "printf 'listen=YES\\nbackground=NO\\nseccomp_sandbox=NO\\n"
    "secure_chroot_dir=/var/run/vsftpd/empty\\n' >vsftpd.conf\n"
    "exec vsftpd /srv/vsftpd.conf",
)
MOSQUITTO = Service(
    "mosquitto",
    "mqtt",
    1883,
    "printf 'listener 1883\\nallow_anonymous true\\n' >config && exec mosquitto -c config",
)
MOSQUITTO_LOCAL = Service(
    "mosquitto-local",
    "mqtt",
    1883,
    "printf 'listener 1883 127.0.0.1\\nallow_anonymous true\\n' >config && "
    "exec mosquitto -c config",
)
MOSQUITTO_LOGIN = Service(
    "mosquitto-login",
    "mqtt",
    1883,
    "printf 'listener 1883\\nallow_anonymous false\\n' >config && exec mosquitto -c config",
)
NATS = Service("nats", "nats", 4222, "exec nats-server")
NATS_LOGIN = Service(
    "nats-login", "nats", 4222, "exec nats-server --user somebody --pass secret"
)
RABBITMQ = Service(
    "rabbitmq",
    "amqp",
    5672,
    "export HOME=/var/lib/rabbitmq RABBITMQ_NODENAME=rabbit@localhost "
    "RABBITMQ_LOGS=-\nexec rabbitmq-server",
)
RABBITMQ_LOCAL = Service(
    "rabbitmq-local",
    "amqp",
    5672,
    "export HOME=/var/lib/rabbitmq RABBITMQ_NODENAME=rabbit@localhost "
    "RABBITMQ_LOGS=- RABBITMQ_NODE_IP_ADDRESS=127.0.0.1\nexec rabbitmq-server",
)
DNSMASQ = Service(
    "dnsmasq", "dns", 53, "exec dnsmasq -k --no-resolv --user=root", transport="udp"
)
DNSMASQ_TCP = Service(
    "dnsmasq-tcp", "dns-tcp", 53, "exec dnsmasq -k --no-resolv --user=root"
)
DNSMASQ_LOCAL = Service(
    "dnsmasq-local",
    "dns",
    53,
    "exec dnsmasq -k --no-resolv --user=root --listen-address=127.0.0.1 "
    "--bind-interfaces",
    transport="udp",
)
CHRONY = Service(
    "chrony",
    "ntp",
    123,
    "printf 'local stratum 10\\nallow\\ncmdport 0\\npidfile /srv/pid\\n' >config\n"
    "exec chronyd -x -d -u root -f config",
    transport="udp",
)
CHRONY_UNSYNCHRONISED = Service(
    "chrony-unsynchronised",
    "ntp",
    123,
    "printf 'allow\\ncmdport 0\\npidfile /srv/pid\\n' >config\n"
    "exec chronyd -x -d -u root -f config",
    transport="udp",
)
_DOVECOT: Final = """cat >dovecot.conf <<'END'
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
protocols = imap pop3
ssl = no
log_path = /dev/stderr
passdb pam {
}
userdb passwd {
}
END
exec dovecot -F -c /srv/dovecot.conf"""
DOVECOT_IMAP = Service("dovecot-imap", "imap", 143, _DOVECOT)
DOVECOT_POP3 = Service("dovecot-pop3", "pop3", 110, _DOVECOT)
