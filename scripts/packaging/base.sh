#!/usr/bin/env bash
# Where images cannot be pulled: makes a stand-in for the base image of the Dockerfile, under its name, from the
# distribution's packages and the Rust of this machine. As root; takes some minutes.
#
#   scripts/packaging/base.sh IMAGE
set -euo pipefail
image=$1
for tool in buildah debootstrap rustc; do
  command -v "$tool" >/dev/null || { echo "base: $tool is missing" >&2; exit 2; }
done
suite=${image##*-}
wanted=${image##*:}
wanted=${wanted%%-*}
case "$(rustc --version)" in
  "rustc $wanted".*) ;;
  *) echo "base: the Dockerfile wants Rust $wanted, and here is $(rustc --version)" >&2; exit 2 ;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/bellhop-base.XXXXXX")
trap 'rm -rf "$work"' EXIT
debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev "$suite" "$work/root" >"$work/said" 2>&1 ||
  { tail -5 "$work/said" >&2; exit 1; }
toolchain=$(rustc --print sysroot)
cp -a "$toolchain"/bin/cargo "$toolchain"/bin/rustc "$work/root/usr/local/bin/"
cp -a "$toolchain"/lib/. "$work/root/usr/local/lib/"
mkdir "$work/root/usr/local/cargo"
# Cargo trusts whom this machine trusts, and the folder that goes into our image stays the distribution's.
cp /etc/ssl/certs/ca-certificates.crt "$work/root/usr/local/share/of-this-machine.crt"
cp /etc/resolv.conf "$work/root/etc/resolv.conf"
container=$(buildah from scratch)
buildah add --quiet "$container" "$work/root" / >/dev/null
buildah config --env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env CARGO_HOME=/usr/local/cargo \
  --env CARGO_HTTP_CAINFO=/usr/local/share/of-this-machine.crt --env CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS:-$(nproc)}" \
  "$container"
buildah commit --quiet --rm "$container" "docker.io/library/$image" >/dev/null
echo "base: made a stand-in for $image"
