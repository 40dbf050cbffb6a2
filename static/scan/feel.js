// The three answers as sound, vibration, flash and speech (R13).
"use strict";

(() => {
  const { element, word } = wms;

  const TONES = {
    done: [{ hz: 1800, ms: 80 }],
    wrong: [{ hz: 300, ms: 200 }, { hz: 300, ms: 200, after: 90 }],
    look: [{ hz: 900, ms: 70 }, { hz: 1200, ms: 110, after: 40 }],
  };
  const BUZZ = { done: [60], wrong: [200, 90, 200], look: [80, 60, 80] };
  const FLASH_MS = 400;
  let audio = null;
  let flashTimer = 0;

  function wakeAudio() {
    const Context = window.AudioContext || window.webkitAudioContext;
    if (!audio && Context) audio = new Context();
    if (audio && audio.state === "suspended") audio.resume().catch(() => {});
  }

  // Phones give sound only after a touch or a key; the first one of the page opens it.
  for (const gesture of ["pointerdown", "keydown"]) window.addEventListener(gesture, wakeAudio, { capture: true });

  function play(answer) {
    if (wms.setting("sound") === false) return;
    wakeAudio();
    if (!audio) return;
    let at = audio.currentTime + 0.005;
    for (const tone of TONES[answer]) {
      at += (tone.after || 0) / 1000;
      const until = at + tone.ms / 1000;
      const oscillator = audio.createOscillator();
      const volume = audio.createGain();
      oscillator.type = "square";
      oscillator.frequency.value = tone.hz;
      volume.gain.setValueAtTime(0.25, at);
      volume.gain.setValueAtTime(0.25, until - 0.01);
      volume.gain.linearRampToValueAtTime(0, until);
      oscillator.connect(volume).connect(audio.destination);
      oscillator.start(at);
      oscillator.stop(until);
      at = until;
    }
  }

  // R13: three answers that eyes, ears and hand can each tell apart.
  function feel(answer) {
    const kind = answer in TONES ? answer : "look";
    play(kind);
    if (navigator.vibrate && wms.setting("vibration") !== false) navigator.vibrate(BUZZ[kind]);
    const body = document.body;
    body.classList.remove("flash-done", "flash-wrong", "flash-look");
    void body.offsetWidth; // lets the same flash begin again
    body.classList.add(`flash-${kind}`);
    clearTimeout(flashTimer);
    flashTimer = setTimeout(() => body.classList.remove(`flash-${kind}`), FLASH_MS);
  }

  function voiceFor(language) {
    const start = language.toLowerCase().split("-")[0];
    return speechSynthesis.getVoices().find((voice) => voice.lang.toLowerCase().startsWith(start));
  }

  async function speak() {
    const text = document.querySelector("#screen [data-say]")?.dataset.say;
    if (document.body.dataset.speech !== "on" || !text) return;
    const language = document.documentElement.lang || "en";
    if (window.speechSynthesis && !voiceFor(language)) {
      await new Promise((resolve) => { // voices come late, or never
        speechSynthesis.addEventListener("voiceschanged", resolve, { once: true });
        setTimeout(resolve, 1000);
      });
    }
    const voice = window.speechSynthesis && voiceFor(language);
    if (!voice) {
      noteNoSpeech();
      return;
    }
    const sentence = new SpeechSynthesisUtterance(text);
    sentence.voice = voice;
    sentence.lang = voice.lang;
    speechSynthesis.cancel();
    speechSynthesis.speak(sentence);
  }

  function noteNoSpeech() {
    const area = wms.screenArea();
    if (area && !area.querySelector(".speech-absent")) area.append(element("small", "speech-absent", word("no_speech")));
  }

  Object.assign(wms, { feel, speak });
})();
