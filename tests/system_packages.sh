#!/bin/sh
# What make needs of the system, and pip does not have. Of a Python, which $PYTHON names: its headers and the module
# venv, which Debian keeps in packages apart. For the tests: doctest's header and a Chromium.
#   --python       install what is missing of Python, where this user may do so without a password; else name the one
#                  command that does, and fail, since nothing can be built without
#   --install      install what is missing for the tests, where this user may do so without a password; never fails
#   --has NAME     tell whether headers (of Python), venv, doctest or chromium is there
#   --check        name what is missing and the one command that installs it; fail without doctest, whose tests are
#                  the core's, and not without a browser, which looks at pages alone
set -u

PYTHON=${PYTHON:-python3}

has() {
  case $1 in
    headers)
      "$PYTHON" -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))'
      ;;
    venv) "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ;;
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
  case $package in
    headers | venv)
      # The packages of python3.12 are python3.12-dev and python3.12-venv.
      python=$(basename "$PYTHON")
      test "${python#python3}" != "$python" || python=python3
      test "$package" = headers && package=dev
      package=$python-$package
      ;;
  esac
  if command -v apt-get >/dev/null; then
    test "$package" = doctest && package=doctest-dev
    echo "apt-get install -y --no-install-recommends $package"
  elif command -v dnf >/dev/null; then
    test "$package" = doctest && package=doctest-devel
    test "$1" = headers && package=${package}el
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
  echo "make: $words"
  # Words, not a word.
  # shellcheck disable=SC2086
  as_root $words >/dev/null 2>&1 || echo "make: $1 could not be installed"
}

# What of the given is not there.
missing_of() {
  missing=
  for package in "$@"; do
    has "$package" || missing="$missing${missing:+ }$package"
  done
  echo "$missing"
}

# The one command that installs what is missing, for the reader.
tell_command() {
  words=$(command_for_all "$1")
  echo "make: ${words:-install it with the system's package manager}" >&2
}

case $1 in
  --has) has "$2" ;;
  --install)
    install doctest
    install chromium
    exit 0
    ;;
  --python)
    if ! command -v "$PYTHON" >/dev/null; then
      echo "make: there is no program $PYTHON: name a Python of 3.11 or newer, make PYTHON=..." >&2
      exit 1
    fi
    install headers
    install venv
    missing=$(missing_of headers venv)
    test -z "$missing" && exit 0
    echo "make: nothing can be built with $PYTHON, of which this is missing: $missing" >&2
    tell_command "$missing"
    exit 1
    ;;
  --check)
    missing=$(missing_of doctest chromium)
    test -z "$missing" && exit 0
    echo "make: not everything was tested, this is missing: $missing" >&2
    tell_command "$missing"
    has doctest
    ;;
esac
