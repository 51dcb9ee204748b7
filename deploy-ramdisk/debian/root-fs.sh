# Reads a tar file of a root file system from standard input and writes an ext4 file
# system with it to standard output. Runs as root, under fakeroot, or as the root of a user namespace,
# whose processes may not be able to read the user's folders.
# Arguments: path of mke2fs, UUID, bytes of slack, and "xattrs" where extended
# attributes are kept.
set -eu
mke2fs=$1 uuid=$2 slack=$3
# fakeroot forgets the type of a file that gets an extended attribute.
case $4 in
xattrs) set -- --xattrs '--xattrs-include=*' ;;
*) set -- ;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/farrier-root-fs.XXXXXXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/root"
# A user namespace can't create device nodes; the kernel populates /dev.
tar -x --numeric-owner "$@" --exclude='./dev/*' -C "$work/root"

# Files rounded up to blocks, and a thirtieth for inodes and block maps.
used=$(du -s --block-size=1 "$work/root" | cut -f1)
mib=$(((used + used / 30 + slack) / 1048576 + 1))

# The block size of large file systems, because this one grows with the disk.
# Features that GRUB 2.06 does not support are off. Tables are written now and not at
# the first boot. Times are fixed, so that rebuilds differ less.
SOURCE_DATE_EPOCH=0 E2FSPROGS_FAKE_TIME=1 "$mke2fs" -q -t ext4 -L root -U "$uuid" \
    -m 1 -b 4096 -i 16384 -J size=16 -O '^metadata_csum_seed,^orphan_file' \
    -E "hash_seed=$uuid,lazy_itable_init=0,lazy_journal_init=0,nodiscard" \
    -d "$work/root" "$work/root.ext4" "${mib}M" >&2
cat "$work/root.ext4"
