"""First bytes of real servers, captured on loopback unless a comment says otherwise.

Each is what the server sends unprompted, or in answer to the hello of its own protocol.
Versions are those of Debian 12.
"""

from __future__ import annotations

from typing import Final

NGINX: Final = (  # nginx 1.22.1
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 29 Nov 2026 12:54:49 GMT\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 6\r\nConnection: keep-alive\r\n\r\nhello\n"
)
NGINX_BAD_GATEWAY: Final = (  # nginx 1.22.1 with an upstream that refuses connections
    b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.22.1\r\n"
    b"Date: Sun, 29 Nov 2026 12:54:51 GMT\r\nContent-Type: text/html\r\n"
    b"Content-Length: 11\r\nConnection: keep-alive\r\n\r\nBad Gateway"
)
NGINX_HTTPS_PORT: Final = (  # nginx 1.22.1, asked without TLS on its port for TLS
    b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\n"
    b"Date: Sun, 29 Nov 2026 12:54:51 GMT\r\nContent-Type: text/html\r\n"
    b"Content-Length: 255\r\nConnection: close\r\n\r\n<html>\r\n"
    b"<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n"
    b"<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n"
    b"<center>The plain HTTP request was sent to HTTPS port</center>\r\n"
    b"<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
)
GO_HTTPS_PORT: Final = (  # Go's net/http: server.go
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
)
NGINX_HTTP2: Final = (  # nginx 1.22.1: SETTINGS, WINDOW_UPDATE, SETTINGS, HEADERS, DATA
    b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00"
    b"\x00\x05\x00\xff\xff\xff\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\x00\x00\x00\x00"
    b"\x00\x04\x01\x00\x00\x00\x00\x00\x002\x01\x04\x00\x00\x00\x01 \x88v\x89\xaacU\xe5\x80"
    b'\xae!.\x1fa\x97\xddm_J\t\xf54\x9f\xba\x82\x00\x9cP"\xb8\xdb\xb7\x1aqLZ7\xff_\x87I|\xa5'
    b"\x8a\xe8\x19\xaa\\\x016\x00\x00\x06\x00\x01\x00\x00\x00\x01hello\n"
)
NGINX_HTTP2_TO_HTTP1: Final = (  # nginx 1.22.1, asked in HTTP/1.1: SETTINGS and GOAWAY
    b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00"
    b"\x00\x05\x00\xff\xff\xff\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\x00\x00\x00\x00"
    b"\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
)
ETCD_GRPC: Final = (  # etcd 3.4.23: SETTINGS, SETTINGS, HEADERS, DATA, HEADERS
    b"\x00\x00\x0c\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00\x00\x03\xff\xff\xff\xff"
    b"\x00\x00\x00\x04\x01\x00\x00\x00\x00"
    b"\x00\x00\x0e\x01\x04\x00\x00\x00\x01\x88_\x8b\x1du\xd0b\r&=LMed\x00\x00\x07\x00\x00"
    b"\x00\x00\x00\x01\x00\x00\x00\x00\x02\x08\x01\x00\x00\x18\x01\x05\x00\x00\x00\x01@\x88"
    b"\x9a\xca\xc8\xb2\x124\xda\x8f\x010@\x89\x9a\xca\xc8\xb5%B\x071\x7f\x00"
)
TLS_ALERT: Final = b"\x15\x03\x01\x00\x02\x02\x28"  # RFC 8446 §6: handshake_failure
TLS_SERVER_HELLO: Final = (  # nginx 1.22.1 with OpenSSL 3.0, its beginning
    b"\x16\x03\x03\x00T\x02\x00\x00P\x03\x03 \xce$\x9a\xee\xac$\xd0\x1e\x81/\x03Lb\xbc\x8b"
)
OPENSSH: Final = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n"  # OpenSSH 9.2p1
REDIS: Final = b"+PONG\r\n"  # Redis 7.0.15
REDIS_PASSWORD: Final = b"-NOAUTH Authentication required.\r\n"  # Redis 7.0.15
MARIADB: Final = (  # MariaDB 10.11.19
    b"d\x00\x00\x00\n5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x03\x00\x00\x00WX34K[hz\x00\xfe"
    b"\xf7\x08\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00MP)zOXN]jzH8\x00"
    b"mysql_native_password\x00"
)
DNSMASQ: Final = (  # dnsmasq 2.90 without an upstream
    b"nd\x80\x85\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
)
PLAIN: Final = b"Hello, client!"

# PostgreSQL 15.18
POSTGRES_NO_TLS: Final = b"N"
POSTGRES_LOGIN: Final = b"R\x00\x00\x00\x17\x00\x00\x00\nSCRAM-SHA-256\x00\x00"
POSTGRES_TRUST: Final = (
    b"R\x00\x00\x00\x08\x00\x00\x00\x00"
    b"S\x00\x00\x00\x1dapplication_name\x00netduet\x00"
    b"S\x00\x00\x002server_version\x0015.18 (Debian 15.18-0+deb12u1)\x00"
    b"K\x00\x00\x00\x0c\x00\x00olT\xdd\x8eLZ\x00\x00\x00\x05I"
)
POSTGRES_NO_ROLE: Final = (
    b"R\x00\x00\x00\x08\x00\x00\x00\x00E\x00\x00\x00cSFATAL\x00VFATAL\x00C28000\x00"
    b'Mrole "netduet" does not exist\x00Fmiscinit.c\x00L768\x00'
    b"RInitializeSessionUserId\x00\x00"
)
POSTGRES_FULL: Final = (
    b"E\x00\x00\x00USFATAL\x00VFATAL\x00C53300\x00Msorry, too many clients already\x00"
    b"Fproc.c\x00L357\x00RInitProcess\x00\x00"
)
POSTGRES_STOPPING: Final = (
    b"E\x00\x00\x00jSFATAL\x00VFATAL\x00C57P03\x00"
    b"Mthe database system is shutting down\x00Fpostmaster.c\x00L2432\x00"
    b"RProcessStartupPacket\x00\x00"
)

# Redis 7.0.15
REDIS_FULL: Final = b"-ERR max number of clients reached\r\n"
REDIS_NO_MASTER: Final = (
    b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
    b"\r\n"
)
REDIS_UNKNOWN_COMMAND: Final = (
    b"-ERR unknown command 'EHLO', with args beginning with: 'netduet' \r\n"
)

MARIADB_DENIED: Final = (  # MariaDB 10.11.19
    b"D\x00\x00\x00\xffj\x04Host '127.0.0.3' is not allowed to connect to this MariaDB "
    b"server"
)
POSTFIX: Final = b"220 mail.example.org ESMTP Postfix\r\n"  # Postfix 3.7.11
VSFTPD: Final = b"220 (vsFTPd 3.0.3)\r\n"  # vsftpd 3.0.3
VSFTPD_FULL: Final = (  # vsftpd 3.0.3 with max_clients=1
    b"421 There are too many connected users, please try later.\r\n"
)
VSFTPD_TO_EHLO: Final = b"530 Please login with USER and PASS.\r\n"  # vsftpd 3.0.3
DOVECOT_IMAP: Final = (  # Dovecot 2.3.19
    b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ "
    b"AUTH=PLAIN] Dovecot (Debian) ready.\r\n"
)
DOVECOT_POP3: Final = b"+OK Dovecot (Debian) ready.\r\n"  # Dovecot 2.3.19
DOVECOT_POP3_CAPABILITIES: Final = (  # Dovecot 2.3.19
    b"+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\nUSER\r\n"
    b"SASL PLAIN\r\n.\r\n"
)
NATS: Final = (  # nats-server 2.9.10
    b'INFO {"server_id":"NBWGUHACEYM7PAC7XOQRCXDTTXFYXLVYV4I5O6XHZFPQD5QJRI2M3JFD",'
    b'"server_name":"NBWGUHACEYM7PAC7XOQRCXDTTXFYXLVYV4I5O6XHZFPQD5QJRI2M3JFD",'
    b'"version":"2.9.10","proto":1,"go":"go1.19.8","host":"127.0.0.1","port":24222,'
    b'"headers":true,"max_payload":1048576,"client_id":4,"client_ip":"127.0.0.1"} \r\n'
)
NATS_LOGIN: Final = (  # nats-server 2.9.10 with --user
    b'INFO {"server_id":"NA6XTFXPZOXCI7V7HDTCWKFPRHBWE7I64WAHJ2ZTLF2L76A3PDV3A6UU",'
    b'"server_name":"NA6XTFXPZOXCI7V7HDTCWKFPRHBWE7I64WAHJ2ZTLF2L76A3PDV3A6UU",'
    b'"version":"2.9.10","proto":1,"go":"go1.19.8","host":"127.0.0.1","port":24223,'
    b'"headers":true,"auth_required":true,"max_payload":1048576,"client_id":4,'
    b'"client_ip":"127.0.0.1"} \r\n'
)
NATS_FULL: Final = b"-ERR 'maximum connections exceeded'\r\n"  # nats-server 2.9.10
MOSQUITTO: Final = b"\x20\x02\x00\x00"  # mosquitto 2.0.11, allow_anonymous true
MOSQUITTO_LOGIN: Final = b"\x20\x02\x00\x05"  # mosquitto 2.0.11, allow_anonymous false
MEMCACHED: Final = b"VERSION 1.6.18\r\n"  # memcached 1.6.18
MEMCACHED_ERROR: Final = b"ERROR\r\n"  # memcached 1.6.18, to EHLO
RABBITMQ: Final = (  # RabbitMQ 3.10.8
    b"\x01\x00\x00\x00\x00\x01\xeb\x00\n\x00\n\x00\t\x00\x00\x01\xc6\x0ccapabilitiesF\x00"
    b"\x00\x00\xc7\x12publisher_confirmst\x01\x1aexchange_exchange_bindingst\x01\n"
    b"basic.nackt\x01\x16consumer_cancel_notifyt\x01\x12connection.blockedt\x01\x13"
    b"consumer_prioritiest\x01\x1cauthentication_failure_closet\x01\x10per_consumer_qost"
    b"\x01\x0fdirect_reply_tot\x01\x0ccluster_nameS\x00\x00\x00\x04t@vm\tcopyrightS\x00"
    b"\x00\x007Copyright (c) 2007-2022 VMware, Inc. or its affiliates.\x0binformationS"
    b"\x00\x00\x009Licensed under the MPL 2.0. Website: https://rabbitmq.com\x08platformS"
    b"\x00\x00\x00\x11Erlang/OTP 25.2.3\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS"
    b"\x00\x00\x00\x063.10.8\x00\x00\x00\x0ePLAIN AMQPLAIN\x00\x00\x00\x05en_US\xce"
)
RABBITMQ_HEADER: Final = b"AMQP\x00\x00\x09\x01"  # RabbitMQ 3.10.8, to any other hello
CHRONY: Final = (  # chrony 4.3 with local stratum 10
    b"$\n\x00\xe6\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x7f\x01\x01\xee\xb6\xa3\x96)V\x143"
    b"netduet\x00\xee\xb6\xa3\x97R\xa1\x7f_\xee\xb6\xa3\x97\\6\x16v"
)

# No server of these is in Debian: laid out as their protocol guides say.
KAFKA: Final = (  # ApiVersions version 0, with two APIs
    b"\x00\x00\x00\x16ndue\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x09\x00\x12\x00\x00"
    b"\x00\x03"
)
MONGODB: Final = (  # OP_MSG with the answer of a primary
    b"\x73\x00\x00\x00\x01\x00\x00\x00udn\x00\xdd\x07\x00\x00\x00\x00\x00\x00\x00"
    b"\x5e\x00\x00\x00\x08helloOk\x00\x01\x08ismaster\x00\x01"
    b"\x09localTime\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02setName\x00\x04\x00\x00\x00rs0\x00"
    b"\x10maxWireVersion\x00\x15\x00\x00\x00"
    b"\x01ok\x00\x00\x00\x00\x00\x00\x00\xf0\x3f\x00"
)
MONGODB_TO_HTTP: Final = (
    b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 85\r\n\r\nIt looks like you are trying to access MongoDB over HTTP "
    b"on the native driver port.\r\n"
)
