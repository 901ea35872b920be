#!/bin/sh
# What `make test` needs of the system, and pip does not have: doctest's header and a Chromium.
#   --install      install what is missing, where this user may do so without a password; never fails
#   --has NAME     tell whether doctest or chromium is there
#   --check        name what is missing and the one command that installs it; fail without doctest, whose tests are
#                  the core's, and not without a browser, which looks at pages alone
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

# One command for all that is missing ("doctest chromium"), as this user must give it.
command_for_all() {
  all=
  # Words, not a word.
  # shellcheck disable=SC2086
  for package in $1; do
    words=$(command_for "$package")
    test -z "$words" && return
    all="$all${all:+ && }$(test "$(id -u)" = 0 || test "${words#brew}" != "$words" || printf 'sudo ')$words"
  done
  echo "$all"
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
    status=0 missing=
    for package in doctest chromium; do
      has "$package" && continue
      missing="$missing${missing:+ }$package"
      test "$package" = doctest && status=1
    done
    test -z "$missing" && exit 0
    echo "make test: not everything was tested, this is missing: $missing" >&2
    words=$(command_for_all "$missing")
    echo "make test: ${words:-install it with the system's package manager}" >&2
    exit $status
    ;;
esac
