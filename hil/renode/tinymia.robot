*** Comments ***
For plain `robot tinymia.robot`, with this project's Python packages and Renode on PATH or in
RENODE_PATH.

*** Settings ***
Library           ${CURDIR}/TinymiaLibrary.py
Test Template     Board Fine-Tunes As The Twin Does

*** Test Cases ***                BOARD
STM32F405                         stm32f4
Nucleo-F767ZI                     nucleo_f767zi
Arduino Nano 33 BLE               nano33ble

*** Keywords ***
Board Fine-Tunes As The Twin Does
    [Arguments]    ${board}
    Boot    ${board}
    Frames Should Come Back
    ${before}=    Executed Instructions
    ${hash}=    Fine Tune    epochs=3
    ${after}=    Executed Instructions
    Should Be True    ${after} > ${before}
    ${expected}=    Fine Tune On The Twin    epochs=3
    Should Be Equal    ${hash}    ${expected}
    [Teardown]    Switch Off
