#!/bin/sh
# What `make test` needs of the system, and pip does not have: doctest's header and a Chromium.
#   --install      install what is missing, where this user may do so without a password; never fails
#   --has NAME     tell whether doctest or chromium is there
#   --check        name what is missing with the command that installs it, and fail without doctest
set -u

has() {
  case $1 in
    doctest)
      test -n "${DFA_DOCTEST_DIR:-}" && return 0
      for folder in /usr/include /usr/local/include /opt/homebrew/include ${CONDA_PREFIX:+"$CONDA_PREFIX/include"}; do
        test -e "$folder/doctest/doctest.h" && return 0
      done
      return 1
      ;;
    chromium)
      for name in chromium chromium-browser google-chrome; do
        command -v "$name" >/dev/null && return 0
      done
      return 1
      ;;
  esac
}

# The command that installs a package here, on standard output; nothing where no package manager is known.
command_for() {
  package=$1
  if command -v apt-get >/dev/null; then
    test "$package" = doctest && package=doctest-dev
    echo "apt-get install -y --no-install-recommends $package"
  elif command -v dnf >/dev/null; then
    test "$package" = doctest && package=doctest-devel
    echo "dnf install -y $package"
  elif command -v apk >/dev/null; then
    test "$package" = doctest && package=doctest-dev
    echo "apk add $package"
  elif command -v brew >/dev/null; then
    test "$package" = chromium && package="--cask chromium"
    echo "brew install $package"
  fi
}

as_root() {
  if command -v brew >/dev/null && ! command -v apt-get >/dev/null || test "$(id -u)" = 0; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

install() {
  has "$1" && return
  words=$(command_for "$1")
  test -n "$words" || return
  command -v apt-get >/dev/null && as_root apt-get update -qq >/dev/null 2>&1
  echo "make test: $words"
  # Words, not a word.
  # shellcheck disable=SC2086
  as_root $words >/dev/null 2>&1 || echo "make test: $1 could not be installed; going on without it"
}

case $1 in
  --has) has "$2" ;;
  --install)
    install doctest
    install chromium
    exit 0
    ;;
  --check)
    status=0
    for package in doctest chromium; do
      has "$package" && continue
      words=$(command_for "$package")
      echo "make test: not everything was tested, $package is missing: ${words:-install it with the system's package manager}" >&2
      test "$package" = doctest && status=1
    done
    exit $status
    ;;
esac
