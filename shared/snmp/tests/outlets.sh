#!/bin/sh
# Outlets behind snmpd's `pass`: FOLDER -g|-n|-s OID [TYPE VALUE]. Each object is a
# file of the folder, named by its OID, with its value. Commands act on states as the
# families' MIBs say.
folder=$1 verb=$2 name=$3
echo "$verb $name $5" >>"$folder/log"
case $verb in
-g)
    [ -f "$folder/$name" ] || exit 0
    printf '%s\ninteger\n%s\n' "$name" "$(cat "$folder/$name")"
    ;;
-n)
    # The names of the folder in their order, up to the first one behind this.
    cd "$folder" || exit 1
    next=$({ ls -A | grep '^\.1\.3' | sed 's/$/ object/'; echo "$name asked"; } |
        sort -V | awk -v asked="$name" 'behind && $1 != asked { print $1; exit }
            $1 == asked { behind = 1 }')
    [ -n "$next" ] || exit 0
    printf '%s\ninteger\n%s\n' "$next" "$(cat "$next")"
    ;;
-s)
    [ -f "$folder/$name" ] || { echo not-writable; exit 0; }
    [ "$4" = integer ] || { echo wrong-type; exit 0; }
    case $name in
    # APC's states can't be set.
    *.318.1.1.12.3.5.1.1.4.*) echo not-writable ;;
    *.318.1.1.12.3.3.1.1.4.*)
        outlet=${name##*.}
        case $5 in
        1 | 3) echo 1 >"$folder/.1.3.6.1.4.1.318.1.1.12.3.5.1.1.4.$outlet" ;;
        2) echo 2 >"$folder/.1.3.6.1.4.1.318.1.1.12.3.5.1.1.4.$outlet" ;;
        *) echo wrong-value; exit 0 ;;
        esac
        echo DONE
        ;;
    *) echo "$5" >"$folder/$name"; echo DONE ;;
    esac
    ;;
esac
