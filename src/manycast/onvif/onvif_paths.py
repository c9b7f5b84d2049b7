"""The addresses of what is fetched and sent by plain HTTP."""

FILES = "/onvif/system/"  # what all of them begin with
SYSTEM_LOG = "/onvif/system/log"
ACCESS_LOG = "/onvif/system/access_log"
SUPPORT = "/onvif/system/support"
BACKUP = "/onvif/system/backup"
RESTORE = "/onvif/system/restore"
FIRMWARE = "/onvif/system/firmware"
